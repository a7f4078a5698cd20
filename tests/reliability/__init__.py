"""The link lies, the cable falls out, the host is killed, a bit flips: nothing is lost. See docs/reliability.md."""
