"""Documents of our own: a report in Markdown, and PDF files made by hand."""

from collections.abc import Sequence
from pathlib import Path

REPORT = """# Voyage of the survey ship Alder

The survey ship Alder left the port of Brenholm on 4 March 1911 with a crew of nine, to chart the
shoals off Cape Tarn. She came back on 30 April, eleven days later than was planned.

## 1 Crew

The master was Ines Falk, on her third voyage to the cape. The mate, Jorun Aas, kept the log. The
navigator was to be Pavel Stroh, who had trained with the crew all winter.

### 1.1 The navigator

Six days before sailing, Stroh nursed his brother through scarlet fever, which he had never had
himself. The port's doctor would not let him go on board. Lene Moor, who had been his understudy,
was taken in his place. She had eight days of practice with the new sextant.

## 2 Equipment

Alder carried two sounding machines. The older one was built in 1889 by Hartog and Sons. Its wire,
of 1,200 fathoms, parted on 19 March at a depth of 640 fathoms and was lost with its lead.

| instrument | maker | year |
|---|---|---|
| sextant | Nils Orre | 1910 |
| chronometer | Bell and Dray | 1904 |

## 3 Soundings

Altogether 412 soundings were made, of which 37 were repeated because the ship had drifted. The
shallowest place, later named Moor Bank, lies two fathoms under low water.

## 4 The return

A gale from the north-west held the ship at anchor behind Tarn Island from 11 to 21 April. The
cook's stove was washed overboard, and the crew lived on biscuit and cold tea until Brenholm.
"""


def write_report(folder: Path, name: str = "alder.md") -> Path:
    path = folder / name
    path.write_text(REPORT, encoding="utf-8")
    return path


def pdf(pages: Sequence[str], title: str = "") -> bytes:
    """Return a PDF file with one line of text a page (Latin letters without brackets)."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R "
            f">> >> /Contents {5 + 2 * n} 0 R >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    objects.append(f"<< /Title ({title}) >>")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size, start = len(objects) + 1, len(out)
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}".encode()
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\n"
    return out + f"{trailer}startxref\n{start}\n%%EOF\n".encode()
