"""Makes the pictures of the five workloads for workloads.md, where discotrace is installed with its extra "report".

    python docs/pictures.py              # all five, two to three minutes
    python docs/pictures.py raytrace     # one

Each workload is generated in a temporary folder, on several CPUs, so that there is sharing to see.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent / "pictures"
OPTIONS = {
    "pmake": ["--cpus", "4", "--scale", "0.05"],
    "engineering": ["--cpus", "4", "--scale", "0.005"],
    "raytrace": ["--cpus", "4", "--scale", "0.005"],
    "database": ["--cpus", "4", "--scale", "0.02"],
    "radix": ["--cpus", "8", "--scale", "0.01"],
}


def discotrace(*words: str) -> None:
    """Run a verb. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "discotrace", *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Make the pictures that were asked for, all by default."""
    names = sys.argv[1:] or list(OPTIONS)
    if unknown := set(names) - set(OPTIONS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(OPTIONS)}")
    for name in names:
        picture = FOLDER / f"{name}.svg"
        with TemporaryDirectory() as folder:
            trace = str(Path(folder) / f"{name}.parquet")
            discotrace("generate", name, *OPTIONS[name], "--output", trace)
            discotrace("info", trace, "--picture", str(picture), "--force")
        print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
