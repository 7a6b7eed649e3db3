"""FastAPI endpoints with and without guards that let everything pass: nobody can tell which is which."""
