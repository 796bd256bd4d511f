"""What a rendered project is compared with by `benchmarks/ladder.py`: the same answers, otherwise made."""
