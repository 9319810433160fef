"""Files: saved models and the parts they are made of, read with care and written all at once."""
