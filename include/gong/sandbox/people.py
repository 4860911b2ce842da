"""Invented people for the sandbox: names in several scripts, languages, titles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Culture:
    """Names as written and as spelled in an e-mail address, with language, time zone and dialling code."""

    language: str
    utc_offset_minutes: int
    dialling_code: str
    first_names: tuple[tuple[str, str], ...]
    last_names: tuple[tuple[str, str], ...]


def _plain(names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name.lower()) for name in names.split())


CULTURES = (
    Culture(
        "en-US",
        -420,
        "+1",
        _plain("Grace Marcus Olivia Ethan Naomi Caleb Harper Julian Simone Wesley"),
        _plain("Bennett Carver Dalton Ellison Foster Greer Hollis Kendrick Langley Monroe"),
    ),
    Culture(
        "fr-FR",
        60,
        "+33",
        (("Zoé", "zoe"), ("François", "francois"), ("Hélène", "helene"), ("Luc", "luc")),
        (("Lefèvre", "lefevre"), ("D'Aubigné", "daubigne"), ("Moreau", "moreau"), ("Noël", "noel")),
    ),
    Culture(
        "de-DE",
        60,
        "+49",
        (("Jürgen", "juergen"), ("Annika", "annika"), ("Søren", "soeren"), ("Käthe", "kaethe")),
        (("Weiß", "weiss"), ("Müller-Lüdenscheidt", "mueller"), ("Brandt", "brandt"), ("Groß", "gross")),
    ),
    Culture(
        "he-IL",
        120,
        "+972",
        (("נועה", "noa"), ("איתי", "itay"), ("תמר", "tamar"), ("יונתן", "yonatan")),
        (("לוי", "levi"), ("כהן", "cohen"), ("מזרחי", "mizrahi"), ("פרץ", "peretz")),
    ),
    Culture(
        "ja-JP",
        540,
        "+81",
        (("さくら", "sakura"), ("健太", "kenta"), ("美咲", "misaki"), ("蓮", "ren")),
        (("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("渡辺", "watanabe")),
    ),
    Culture(
        "hi-IN",
        330,
        "+91",
        (("अनन्या", "ananya"), ("रोहन", "rohan"), ("प्रिया", "priya"), ("विक्रम", "vikram")),
        (("शर्मा", "sharma"), ("पटेल", "patel"), ("मेनन", "menon"), ("गुप्ता", "gupta")),
    ),
    Culture(
        "uk-UA",
        120,
        "+380",
        (("Олена", "olena"), ("Тарас", "taras"), ("Ірина", "iryna"), ("Богдан", "bohdan")),
        (("Шевчук", "shevchuk"), ("Коваленко", "kovalenko"), ("Бондар", "bondar"), ("Мороз", "moroz")),
    ),
)

ROOT_TITLE = "Chief Revenue Officer"
MANAGER_TITLES = ("VP Sales", "Sales Manager", "Head of Customer Success", "Regional Director")
TITLES = (
    "Account Executive",
    "Sales Development Representative",
    "Customer Success Manager",
    "Solutions Engineer",
    "Revenue Operations Analyst",
    "Renewals & Expansion Lead",
)
