"""The complete device in cocotb, seen through nothing but its serial pins."""
