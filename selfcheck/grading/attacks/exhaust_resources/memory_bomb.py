"""Takes two gigabytes of memory."""

taken = [bytearray(64 << 20) for _ in range(32)]
raise RuntimeError(f"ESCAPED: it has {len(taken) * 64} MB")
