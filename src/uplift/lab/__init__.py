"""Where things run: this machine, ssh, QEMU. The only room that starts processes."""
