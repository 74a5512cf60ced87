"""`python -m kelvin` is the command `kelvin`."""

if __name__ == "__main__":  # a stage's process imports this module too
    from kelvin.cli import main

    main()
