"""What is done to alnb on purpose: files and texts are spoilt in every way, by seed."""
