"""The link lies, the cable falls out, the host is killed: nothing is lost. See soak.py and fuzz.py beside."""
