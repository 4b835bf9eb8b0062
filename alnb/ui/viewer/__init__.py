"""What shows slices and takes clicks and keys; used by all pages."""
