"""``python -m discotrace``."""

from discotrace.cli import main

if __name__ == "__main__":
    main()
