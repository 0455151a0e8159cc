"""Makes the picture of the report for the README, with Debian's chromium.

discotrace paper -o report.html && python docs/report_picture.py report.html
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PICTURE = Path(__file__).parent / "pictures" / "report.png"
SIZE = "1160,1070"  # the top of the page down to the charts of figure 5, in pixels
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}")


def main() -> None:
    """Take a picture of the page that is named."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/report_picture.py REPORT.html")
    page = Path(sys.argv[1]).resolve(strict=True)
    with TemporaryDirectory() as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", f"--screenshot={PICTURE}", page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
