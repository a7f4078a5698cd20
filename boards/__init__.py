"""Boards: a few lines each over amaranth-boards, one build for all, a manifest beside every bitstream."""
