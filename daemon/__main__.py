"""`python -m daemon` is `brimful`."""

from daemon.cli import main

if __name__ == "__main__":
    main()
