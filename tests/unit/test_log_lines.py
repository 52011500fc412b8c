"""What a log line never shows, whoever wrote its text."""

from __future__ import annotations

import pytest
from cloneservice_server.log_lines import scrubbed


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_" + "1" * 24,
        "rk_" + "live_" + "1" * 24,
        "whsec_" + "1" * 24,
        "cst_abcdefgh-ijkl",
        "pi_3Nabc_secret_xyz123",
        "jenny.rosen+test@shop.example",
        "4242424242424242",
        "4000 0566 5566 5556",
        "3782-822463-10005",
    ],
)
def test_secrets_and_card_numbers_are_scrubbed(secret: str) -> None:
    assert scrubbed(f"cannot read {secret}!").split("(scrubbed)")[0] == "cannot read "
    assert secret[:12] not in scrubbed(f"cannot read {secret}!")


@pytest.mark.parametrize(
    "text",
    [
        "took 1700000000000002 us",
        "req_123 pi_1 acct_1 cus_NffrFeUfNV2Hib",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "no such clone: cln_00000000-0000-5000-8000-000000000005",
        "listening on 127.0.0.1:50051",
        "the client secret is gone",
    ],
)
def test_ids_and_numbers_stay(text: str) -> None:
    assert scrubbed(text) == text
