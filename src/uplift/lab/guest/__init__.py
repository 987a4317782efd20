"""What runs inside an emulated machine; only the standard library, Python 3.6 and later."""
