"""Entry point of ``python -m lidloop.cli``."""

from lidloop.cli.main import main

if __name__ == "__main__":
    main()
