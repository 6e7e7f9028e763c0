"""What is asked: tracked questions, the popular ones, completions and similar questions."""
