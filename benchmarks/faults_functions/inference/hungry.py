"""Fill memory up to `megabytes`, far above the setting; answer how many there were."""

_PIECE = 16


def handler(event, context):
    kept = [b"x" * (_PIECE << 20) for _ in range(event["megabytes"] // _PIECE)]
    return len(kept) * _PIECE
