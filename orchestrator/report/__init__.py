"""Reports: one self-contained HTML folder. `content` is what a report says, `write.write_report` makes the folder."""
