"""python -m terraseg: the same as the `terraseg` command."""

from terraseg.cli.main import main

if __name__ == "__main__":
    main()
