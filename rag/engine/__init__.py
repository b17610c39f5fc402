"""Qwen2 on this machine's processor: weights of one byte, and nothing that was read is read twice."""
