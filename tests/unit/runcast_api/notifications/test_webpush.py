"""The encryption of Web Push, by the example of its RFC."""

from cryptography.hazmat.primitives.asymmetric import ec

from runcast_api.notifications import webpush
from runcast_api.notifications.messages import Button, Message, cut
from runcast_api.notifications.targets import decoded


def test_the_example_of_rfc_8291() -> None:
    """Appendix A."""
    number = int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    sealed = webpush.encrypt(
        b"When I grow up, I want to be a watermelon",
        decoded(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        decoded("BTBZMqHH6r4Tts7J_aSIgg"),
        ec.derive_private_key(number, webpush.CURVE),
        decoded("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert sealed == decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK"
        "6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_no_message_is_longer_than_a_push_service_takes() -> None:
    button = Button("Allow", "allow", "ra_" + "x" * 43)
    for text in ("\u6f22" * 100_000, '"' * 100_000, "\x1b]0;t\x07" + "a\u202eb" * 10_000):
        message = Message(
            "t" * 32, "\u6f22" * 150, cut(text), "https://r/ui/runs/x", buttons=(button,) * 2
        )
        assert len(webpush.payload(message)) <= webpush.PLAIN_BYTES
        assert "\x1b" not in message.text
        assert "\u202e" not in message.text
