"""Everything that speaks A1111's vocabulary: its routes, its JSON, its infotext."""
