"""Learning rules to compare SOLSA with, in float64 on one forward model; compiled by numba (extra ``bench``).

``rules`` says what each rule is and what it costs, ``network`` trains one, ``forward``, ``online`` and ``bptt`` are the
compiled loops. The forward equations are those of :mod:`solsa.golden.float_ref`, which stays the reference: the tests
compare both, and every rule's gradient with automatic differentiation.
"""
