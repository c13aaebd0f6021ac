"""Writes 500 MB into many files."""

part = bytes(10 << 20)
for number in range(50):
    with open(f"filler{number}", "wb") as file:
        file.write(part)
raise RuntimeError("ESCAPED: it has written 500 MB")
