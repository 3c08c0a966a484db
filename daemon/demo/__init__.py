"""The demonstration: a month of life against local stand-ins, driven through the real daemon over real sockets."""
