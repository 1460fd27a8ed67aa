"""What is below has its own tests, which need it installed: `tests/test_thirdparty.py` runs them."""

collect_ignore_glob = ["popcorn/*"]
