"""The proof that deleted text never answers: any operations, any crash, checked against their history."""
