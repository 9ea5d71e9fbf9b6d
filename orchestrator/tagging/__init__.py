"""What a tagger of A1111 (WD14 or deepdanbooru) sees in pictures: asked once, kept by content, options given back."""
