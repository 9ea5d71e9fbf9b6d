"""What all HTML pages share: one look, one policy of what a page may load, small copies of pictures.

Every page is opened from the disk by a double click: no server, no network, readable without scripts.
"""
