"""`python -m fake_stripe`, the same as `fake-stripe`."""

from fake_stripe.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
