"""Where a symbol's suffix says it trades: a table of facts, after the suffixes that Yahoo uses.

``currency`` is the unit that prices are quoted in, which is not always the one that is paid in: London quotes
pence (GBp), Johannesburg cents (ZAc), Tel Aviv agorot (ILA).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Venue(NamedTuple):
    """An exchange's short name, the code of its calendar in exchange_calendars, and its quote currency."""

    exchange: str
    calendar: str
    currency: str


SUFFIXES: dict[str, Venue] = {
    "AS": Venue("Euronext Amsterdam", "XAMS", "EUR"),
    "AT": Venue("Athens", "ASEX", "EUR"),
    "AX": Venue("ASX", "XASX", "AUD"),
    "BA": Venue("Buenos Aires", "XBUE", "ARS"),
    "BD": Venue("Budapest", "XBUD", "HUF"),
    "BK": Venue("Bangkok", "XBKK", "THB"),
    "BO": Venue("BSE", "XBOM", "INR"),
    "BR": Venue("Euronext Brussels", "XBRU", "EUR"),
    "CO": Venue("Copenhagen", "XCSE", "DKK"),
    "DE": Venue("XETRA", "XETR", "EUR"),
    "F": Venue("Frankfurt", "XFRA", "EUR"),
    "HE": Venue("Helsinki", "XHEL", "EUR"),
    "HK": Venue("HKEX", "XHKG", "HKD"),
    "IC": Venue("Iceland", "XICE", "ISK"),
    "IR": Venue("Euronext Dublin", "XDUB", "EUR"),
    "IS": Venue("Istanbul", "XIST", "TRY"),
    "JK": Venue("Jakarta", "XIDX", "IDR"),
    "JO": Venue("Johannesburg", "XJSE", "ZAc"),
    "KL": Venue("Kuala Lumpur", "XKLS", "MYR"),
    "KQ": Venue("KOSDAQ", "XKRX", "KRW"),
    "KS": Venue("KRX", "XKRX", "KRW"),
    "L": Venue("LSE", "XLON", "GBp"),
    "LS": Venue("Euronext Lisbon", "XLIS", "EUR"),
    "MC": Venue("Madrid", "XMAD", "EUR"),
    "MI": Venue("Milan", "XMIL", "EUR"),
    "MX": Venue("Mexico", "XMEX", "MXN"),
    "NS": Venue("NSE India", "XBOM", "INR"),
    "NZ": Venue("NZX", "XNZE", "NZD"),
    "OL": Venue("Oslo", "XOSL", "NOK"),
    "PA": Venue("Euronext Paris", "XPAR", "EUR"),
    "PR": Venue("Prague", "XPRA", "CZK"),
    "SA": Venue("B3", "BVMF", "BRL"),
    "SI": Venue("SGX", "XSES", "SGD"),
    "SN": Venue("Santiago", "XSGO", "CLP"),
    "SR": Venue("Saudi Exchange", "XSAU", "SAR"),
    "SS": Venue("Shanghai", "XSHG", "CNY"),
    "ST": Venue("Stockholm", "XSTO", "SEK"),
    "SW": Venue("SIX", "XSWX", "CHF"),
    "SZ": Venue("Shenzhen", "XSHG", "CNY"),
    "T": Venue("Tokyo", "XTKS", "JPY"),
    "TA": Venue("Tel Aviv", "XTAE", "ILA"),
    "TO": Venue("TSX", "XTSE", "CAD"),
    "TW": Venue("Taiwan", "XTAI", "TWD"),
    "TWO": Venue("Taipei Exchange", "XTAI", "TWD"),
    "V": Venue("TSX Venture", "XTSE", "CAD"),
    "VI": Venue("Vienna", "XWBO", "EUR"),
    "WA": Venue("Warsaw", "XWAR", "PLN"),
}

# Indexes carry no suffix: those not listed here are taken for American ones of unknown currency.
INDEX_VENUES: dict[str, tuple[str, str | None]] = {
    "^AXJO": ("XASX", "AUD"),
    "^BSESN": ("XBOM", "INR"),
    "^BVSP": ("BVMF", "BRL"),
    "^DJI": ("XNYS", "USD"),
    "^FCHI": ("XPAR", "EUR"),
    "^FTSE": ("XLON", "GBP"),
    "^GDAXI": ("XETR", "EUR"),
    "^GSPC": ("XNYS", "USD"),
    "^GSPTSE": ("XTSE", "CAD"),
    "^HSI": ("XHKG", "HKD"),
    "^IBEX": ("XMAD", "EUR"),
    "^IXIC": ("XNYS", "USD"),
    "^KS11": ("XKRX", "KRW"),
    "^N225": ("XTKS", "JPY"),
    "^NDX": ("XNYS", "USD"),
    "^NSEI": ("XBOM", "INR"),
    "^RUT": ("XNYS", "USD"),
    "^SSMI": ("XSWX", "CHF"),
    "^STOXX50E": ("XETR", "EUR"),
}

# BTC-EUR is a pair, the share class BRK-B is not: money, or a coin others are quoted in, follows the dash.
CRYPTO_PAIR = re.compile(
    r"[A-Z0-9]{1,10}-"
    r"(AUD|BRL|CAD|CHF|CNY|EUR|GBP|HKD|INR|JPY|KRW|NZD|SGD|TRY|USD|BTC|ETH|USDC|USDT)"
)
