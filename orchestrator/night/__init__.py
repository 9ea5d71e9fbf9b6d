"""One night: jobs frozen and run, the card handed from one program to the other, the summary in the morning."""
