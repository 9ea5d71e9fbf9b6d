"""LoRA files: what is in them, which epoch each is, and how A1111 gets them."""
