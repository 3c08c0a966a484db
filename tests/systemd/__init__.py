"""The real systemd: `make systemd-test` types docs/install.md in a booted container, then does what goes wrong."""
