"""Which symbols a feed follows."""

import argparse

import pytest

from producers.base.universe import Change, Choice, Listing, Rule, Universe, change, choice_of, configure_choice
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.errors import TapewatchError


def listing(symbol: str, turnover: float = 0.0, *, trading: bool = True, quote: str = "USDT") -> Listing:
    return Listing(symbol, Instrument(id=f"{symbol}.BINANCE", kind="spot"), turnover, trading, {"quote": quote})


LISTED = [
    listing("SOLUSDT", 30.0),
    listing("BTCUSDT", 90.0),
    listing("ETHUSDT", 50.0),
    listing("ADAUSDT", 30.0),
    listing("LUNAUSDT", 999.0, trading=False),
    listing("ETHBTC", 40.0, quote="BTC"),
    listing("ODDUSDT", float("nan")),
]


def chosen(choice: Choice, listed: list[Listing] = LISTED) -> tuple[list[str], Universe]:
    universe = Universe(choice)
    return [one.symbol for one in universe.choose(listed)], universe


def test_all_that_trades_is_followed_without_a_choice_the_most_traded_first() -> None:
    symbols, universe = chosen(Choice())
    assert symbols == ["BTCUSDT", "ETHUSDT", "ETHBTC", "ADAUSDT", "SOLUSDT", "ODDUSDT"]
    assert +universe.left_out == {"not_trading": 1}


def test_list_keeps_its_order_and_tells_what_is_missing() -> None:
    names = ("ethusdt", "BTCUSDT.BINANCE", "LUNAUSDT", "NOSUCH", "ETHUSDT")
    symbols, universe = chosen(Choice(symbols=names))
    assert symbols == ["ETHUSDT", "BTCUSDT"]
    assert universe.missing == {"LUNAUSDT": "not_trading", "NOSUCH": "not_listed"}


def test_symbols_that_differ_only_by_case_are_told_apart() -> None:
    twins = [listing("GT"), Listing("gt", Instrument(id="GT2.BINANCE"))]
    assert chosen(Choice(symbols=("gt",)), twins)[0] == ["gt"]
    assert chosen(Choice(symbols=("GT",)), twins)[0] == ["GT"]


def test_top_takes_the_most_traded_with_ties_by_symbol() -> None:
    symbols, universe = chosen(Choice(top=4, rules=(Rule("quote", "usdt"),)))
    assert symbols == ["BTCUSDT", "ETHUSDT", "ADAUSDT", "SOLUSDT"]
    assert +universe.left_out == {"not_trading": 1, "rule": 1, "less_traded": 1}


def test_patterns_of_one_trait_are_alternatives_and_of_several_conditions() -> None:
    rules = tuple(map(Rule.parse, ("symbol=ETH*", "symbol=BTC*", "quote=USDT")))
    assert chosen(Choice(rules=rules))[0] == ["BTCUSDT", "ETHUSDT"]
    assert chosen(Choice(rules=(Rule.parse("symbol!=*USDT"),)))[0] == ["ETHBTC"]
    assert chosen(Choice(rules=(Rule.parse("kind=spot"), Rule.parse("id=sol*.binance"))))[0] == ["SOLUSDT"]


def test_universe_is_bounded() -> None:
    symbols, universe = chosen(Choice(limit=2))
    assert symbols == ["BTCUSDT", "ETHUSDT"]
    assert universe.left_out["over_limit"] == 4
    symbols, universe = chosen(Choice(symbols=("ETHUSDT", "BTCUSDT"), limit=1))
    assert symbols == ["ETHUSDT"]
    assert universe.missing == {"BTCUSDT": "over_limit"}


def test_symbol_listed_again_counts_once() -> None:
    symbols, universe = chosen(Choice(), [*LISTED, listing("BTCUSDT", 1.0)])
    assert symbols.count("BTCUSDT") == 1
    assert universe.left_out["twice"] == 1


def test_trait_that_no_symbol_has_is_told_with_those_there_are() -> None:
    with pytest.raises(TapewatchError) as caught:
        chosen(Choice(rules=(Rule("quot", "USDT"),)))
    assert "quote" in caught.value.hint
    assert chosen(Choice(rules=(Rule("quot", "USDT"),)), [])[0] == []


def test_change_tells_added_removed_and_renewed() -> None:
    btc, eth, sol = listing("BTCUSDT", 1.0), listing("ETHUSDT"), listing("SOLUSDT")
    finer = Listing("ETHUSDT", Instrument(id="ETHUSDT.BINANCE", kind="spot", ticks=(Tick(0.0, 0.01),)))
    assert change([btc, eth], [listing("BTCUSDT", 2.0), finer, sol]) == Change([sol], [], [finer])
    assert change([btc, eth], [eth]).removed == [btc]
    assert not change([btc], [listing("BTCUSDT", 2.0)])


def parsed(*words: str) -> Choice:
    parser = argparse.ArgumentParser(exit_on_error=False)
    configure_choice(parser)
    return choice_of(parser.parse_args(words))


def test_choice_is_read_from_the_command_line() -> None:
    assert parsed("--symbols", "BTCUSDT, ETHUSDT,BTCUSDT") == Choice(symbols=("BTCUSDT", "ETHUSDT"))
    assert parsed("--top", "50", "--where", "quote=USDT", "--where", "symbol!=*UPUSDT") == Choice(
        top=50, rules=(Rule("quote", "USDT"), Rule("symbol", "*UPUSDT", wanted=False))
    )
    assert parsed() == Choice()


@pytest.mark.parametrize("words", [("--top", "0"), ("--where", "USDT"), ("--where", "=USDT"), ("--symbols", ",")])
def test_malformed_choice_is_told(words: tuple[str, str]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(*words)


def test_list_and_rule_contradict_each_other() -> None:
    with pytest.raises(TapewatchError):
        parsed("--symbols", "BTCUSDT", "--top", "3")
