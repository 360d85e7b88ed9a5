"""Names of persons: written in another way they are equal, of other persons never."""

import pytest

from plaudit.judges.answers.types import names

WHO = "Who wrote the book?"

SAME = [
    ("J. R. R. Tolkien", "John Ronald Reuel Tolkien"),
    ("J.R.R. Tolkien", "John Ronald Reuel Tolkien"),
    ("JRR Tolkien", "John Ronald Reuel Tolkien"),
    ("Tolkien, J. R. R.", "J. R. R. Tolkien"),
    ("Tolkien, John Ronald Reuel", "J.R.R. Tolkien"),
    ("S. Holmes", "Sherlock Holmes"),
    ("John Fitzgerald Kennedy", "John F. Kennedy"),
    ("John Kennedy", "John F. Kennedy"),
    ("John Kennedy", "John Fitzgerald Kennedy"),
    ("Wolfgang Mozart", "Wolfgang Amadeus Mozart"),
    ("Sir Isaac Newton", "Isaac Newton"),
    ("Dr. Martin Luther King", "Martin Luther King"),
    ("President Abraham Lincoln", "Abraham Lincoln"),
    ("Mr. Sherlock Holmes", "Sherlock Holmes"),
    ("King Henry VIII", "Henry VIII"),
    ("Queen Elizabeth II", "Elizabeth II"),
    ("Antonin Dvorak", "Antonín Dvořák"),
    ("Soren Kierkegaard", "Søren Kierkegaard"),
    ("Lech Walesa", "Lech Wałęsa"),
    ("Lennon, John", "John Lennon"),
    ("Ludwig Beethoven", "Ludwig van Beethoven"),
    ("Martin Luther King Jr.", "Dr. Martin Luther King, Jr."),
    ("Martin King Jr", "Martin Luther King Junior"),
    ("T. S. Eliot", "Thomas Stearns Eliot"),
    ("CS Lewis", "C. S. Lewis"),
    ("J.K. Rowling", "Joanne K. Rowling"),
    ("It was Gabriel Garcia Marquez", "Gabriel García Márquez"),
    ("Sinead O'Connor", "Sinéad O’Connor"),
    ("Professor Albert Einstein", "Albert Einstein"),
]  # fmt: skip

OTHERS = [
    ("J. Smith", "John Smithson"),
    ("J. Smith", "Mary Smith"),
    ("John Smith", "Jane Smith"),
    ("Smith", "John Smith"),
    ("John", "John Smith"),
    ("John J. Smith", "John K. Smith"),
    ("George W. Bush", "George H. W. Bush"),
    ("George Bush", "George W. Bush"),
    ("George Bush Jr.", "George Bush Sr."),
    ("George Bush Jr.", "George Bush"),
    ("John Adams", "John Quincy Adams"),
    ("Johann Christian Bach", "Johann Sebastian Bach"),
    ("J. Bach", "Johann Sebastian Bach"),
    ("J. C. Bach", "J. S. Bach"),
    ("Henry Tudor VII", "Henry Tudor VIII"),
    ("Henry VII", "Henry VIII"),
    ("Henry", "Henry VIII"),
    ("King Charles", "Charles"),
    ("Pope John II", "King John II"),
    ("King George VI", "King George V"),
    ("Mr. John Smith", "Mrs. John Smith"),
    ("Bill Clinton", "Hillary Clinton"),
    ("William Henry Harrison", "Benjamin Harrison"),
    ("Franklin D. Roosevelt", "Theodore Roosevelt"),
    ("not John Smith", "John A. Smith"),
    ("John Smith or John Jones", "John A. Smith"),
    ("John Smith and Jane Doe", "John A. Smith"),
    ("Jean-Luc Picard", "Jean-Paul Picard"),
    ("Mary-Kate Olsen", "Mary Olsen"),
    ("A. B", "Alan Bates"),
    ("", "John Smith"),
    ("John the Smith's father", "John Smith"),
    ("not Antonin Dvorak", "Antonín Dvořák"),
    ("The father of J. Smith", "John Smith"),
    ("He is not J. Smith", "John Smith"),
]


@pytest.mark.parametrize(("answer", "reference"), SAME)
def test_a_name_is_equal_in_its_usual_forms(answer: str, reference: str) -> None:
    assert names.equal(answer, reference, WHO)


@pytest.mark.parametrize(("answer", "reference"), OTHERS)
def test_another_name_is_never_equal(answer: str, reference: str) -> None:
    assert not names.equal(answer, reference, WHO)
    assert not names.equal(reference, answer, WHO)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Royal Canadian Navy", "Royal Navy"),
        ("Democratic Republican Party", "Democratic Party"),
        ("Electric Company", "General Electric Company"),
        ("Manchester United", "Manchester City United"),
        ("Anna Smith", "Anna Maria Smith"),
        ("St. Louis Cardinals", "Louis Cardinals"),
    ],
)
def test_parts_of_what_may_be_no_person_are_not_left_out(answer: str, reference: str) -> None:
    assert not names.equal(answer, reference, "Who won?")
    assert not names.equal(reference, answer, "Who won?")


def test_a_title_of_a_work_is_no_name() -> None:
    assert not names.equal("Great Gatsby", "Great American Gatsby", "What is the book called?")


@pytest.mark.parametrize(
    "hostile", ["\0", "\ud800", ",", "." * 80, "A." * 40, "Jr", "X, X", "a" * 9999]
)
def test_hostile_names_raise_nothing(hostile: str) -> None:
    assert not names.equal(hostile, "John Smith", WHO)
    assert not names.equal("John Smith", hostile, WHO)
