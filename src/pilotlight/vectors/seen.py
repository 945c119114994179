"""Which words were there before, in constant memory."""

from pilotlight.errors import VectorError

_CACHE = 8 << 10  # KiB of memory; what goes beyond is in a temporary file


class Seen:
    """The words of a file and the line of each. sqlite.org/inmemorydb.html#temp_db: the file is made when need be."""

    def __init__(self) -> None:
        import sqlite3  # not for the start of every command

        self._error = sqlite3.Error
        self._words = sqlite3.connect("", isolation_level=None)
        self._words.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._words.execute("PRAGMA journal_mode = OFF")
        self._words.execute("CREATE TABLE words (word TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._words.execute("BEGIN")

    def add(self, word: str, line: int) -> int:
        """The line that the word was in before; 0, and it is noted, when it was in none. Raises `VectorError`."""
        try:
            if self._words.execute("INSERT OR IGNORE INTO words VALUES (?, ?)", (word, line)).rowcount:
                return 0
            [first] = self._words.execute("SELECT line FROM words WHERE word = ?", (word,)).fetchone()
        except self._error as error:
            raise VectorError(f"noting which words there were: {error}", "make room for temporary files") from None
        return int(first)

    def close(self) -> None:
        self._words.close()
