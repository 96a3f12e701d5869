"""The PostgreSQL sink on real servers: predictions, rankings, news and factors."""

import uuid

from tapewatch.contract import messages, topics
from tapewatch.runtime import kafka
from tests.integration.forecast_messages import AT, item, prediction, ranking
from tests.integration.postgres_kept import keep, query


def test_forecasts_are_kept_once_and_a_later_record_takes_the_place_of_an_earlier_one(ours):
    kafka.create_topics(ours, [*topics.shared_topics(ours.topics), *topics.source_topics(ours.topics)])
    producer, own = kafka.producer(ours), uuid.uuid4().hex[:8].upper()
    best, out, source = f"A{own}.XTST", f"B{own}.XTST", f"wire{own}"
    flow = messages.Factor(
        id=messages.stable_id(own), source="twse", series="foreign_net_buy", period="2023-11-14", published_at=AT,
        received=AT, value=-5.0, unit="shares",
    )  # fmt: skip
    for message in (
        prediction(best, 11.0), prediction(best, 12.0), ranking(own, best, out), ranking(own, best, out),
        item(source), item(source, sentiment=-0.5, model="s"), flow,
    ):  # fmt: skip
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    summary = keep(ours)
    assert all(summary.rows[table] for table in ("predictions", "rankings", "news", "factors"))
    found = query(ours, "SELECT reference, value, classes FROM v_predictions WHERE instrument = %s", best)
    assert found == [(10.0, 12.0, {"up": 0.7})]
    found = query(
        ours, "SELECT place, instrument, reason, regimes FROM v_rankings WHERE ranking = %s ORDER BY place", own
    )
    assert found == [(1, best, "", {"1h": "bull", "24h": "bear"}), (None, out, "thin", {})]
    assert query(ours, "SELECT headline, instruments, sentiment FROM v_news WHERE source = %s", source) == [
        ("台積電", ["2330.XTAI"], -0.5)
    ]
    assert query(ours, "SELECT instrument, value FROM v_factors WHERE id = %s", flow.id) == [("*", -5.0)]
    producer.produce(topics.PREDICTIONS, messages.encode(prediction(best, 13.0)), partition=0)
    producer.flush()
    keep(ours)
    assert query(ours, "SELECT value FROM v_predictions WHERE instrument = %s", best) == [(13.0,)]


def test_a_ranking_of_what_is_no_instrument_is_a_dead_letter_and_the_next_is_kept(ours):
    producer, own = kafka.producer(ours), uuid.uuid4().hex[:8].upper()
    producer.produce(topics.RANKINGS, messages.encode(ranking(own, "no instrument", f"B{own}.XTST")), partition=0)
    producer.produce(topics.RANKINGS, messages.encode(ranking(own, f"A{own}.XTST", f"B{own}.XTST")), partition=0)
    producer.flush()
    assert keep(ours).dead_letters["malformed_message"] >= 1
    assert query(ours, "SELECT instrument FROM v_rankings WHERE ranking = %s AND place = 1", own) == [(f"A{own}.XTST",)]
