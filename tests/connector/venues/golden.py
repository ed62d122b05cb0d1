"""Frames of our own making in the venues' documented wire formats (documentation of 2026): each public spot frame type once at least.

Binance   https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
Coinbase  https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels,
          https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
Kraken    https://docs.kraken.com/api/docs/websocket-v2/
"""

# ruff: noqa: E501 (frames as they stand on the wire)
from __future__ import annotations

from typing import Final

BINANCE: Final[dict[str, bytes]] = {
    "trade": b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":4000001,"p":"91000.10000000","q":"0.00150000",'
    b'"T":1767225600123,"m":true,"M":true}}',
    "trade_taker_buys": b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":4000002,"p":"91000.20000000",'
    b'"q":"0.02000000","b":1,"a":2,"T":1767225600123,"m":false,"M":true}}',
    "trade_us": b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1767225600124001,"s":"BTCUSDT","t":4000003,"p":"91000.2","q":"0.5",'
    b'"T":1767225600123456,"m":false,"M":true}}',
    "agg_trade": b'{"stream":"ethusdt@aggTrade","data":{"e":"aggTrade","E":1767225600130,"s":"ETHUSDT","a":900,"p":"3000.01","q":"2.5","f":10,"l":12,'
    b'"T":1767225600129,"m":false,"M":true}}',
    "book_ticker": b'{"stream":"btcusdt@bookTicker","data":{"u":70001,"s":"BTCUSDT","b":"91000.10000000","B":"3.10000000","a":"91000.20000000",'
    b'"A":"0.50000000"}}',
    "book_ticker_one_side": b'{"stream":"ethusdt@bookTicker","data":{"u":70002,"s":"ETHUSDT","b":"0.00000000","B":"0.00000000","a":"3000.5","A":"1.0"}}',
    "depth": b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1767225600200,"s":"BTCUSDT","U":101,"u":103,'
    b'"b":[["91000.10000000","3.20000000"],["90999.00000000","0.00000000"]],"a":[["91000.30000000","1.00000000"]]}}',
    "depth_1000ms": b'{"stream":"ethusdt@depth","data":{"e":"depthUpdate","E":1767225600200,"s":"ETHUSDT","U":7,"u":7,"b":[],"a":[["3000.6","2"]]}}',
    "ticker": b'{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1767225601000,"s":"BTCUSDT","p":"-500.10","P":"-0.547","w":"91200.5",'
    b'"x":"91500.1","c":"91000.20","Q":"0.02","b":"91000.10","B":"3.2","a":"91000.20","A":"0.5","o":"91500.30","h":"92000.00","l":"90500.00",'
    b'"v":"12345.67800000","q":"1123456789.12","O":1767139201000,"C":1767225601000,"F":1,"L":4000002,"n":4000001}}',
    "kline": b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1767225601000,"s":"BTCUSDT","k":{"t":1767225600000,"T":1767225659999,"s":"BTCUSDT",'
    b'"i":"1m","f":1,"L":2,"o":"91000","c":"91001","h":"91002","l":"90999","v":"1","n":2,"x":false,"q":"91000","V":"1","Q":"1","B":"0"}}}',
    "kline_zone": b'{"stream":"btcusdt@kline_1d@+08:00","data":{"e":"kline","E":1767225601000,"s":"BTCUSDT","k":{}}}',
    "mini_ticker": b'{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","E":1767225601000,"s":"BTCUSDT","c":"1","o":"1","h":"1","l":"1","v":"1","q":"1"}}',
    "mini_tickers": b'{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","E":1767225601000,"s":"BTCUSDT"}]}',
    "avg_price": b'{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice","E":1767225601000,"s":"BTCUSDT","i":"5m","w":"91000","T":1767225600999}}',
    "reference_price": b'{"stream":"btcusdt@referencePrice","data":{"e":"referencePrice","s":"BTCUSDT","r":"1.00","t":1767225601000}}',
    "block_trade": b'{"stream":"btcusdt@blockTrade","data":{"e":"blockTrade","E":1767225601000,"s":"BTCUSDT","t":5,"p":"91000","q":"100","T":1767225600999,"m":true}}',
    "partial_depth": b'{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":160,"bids":[["91000","10"]],"asks":[["91001","100"]]}}',
    "window_ticker": b'{"stream":"btcusdt@ticker_4h","data":{"e":"4hTicker","E":1767225601000,"s":"BTCUSDT","p":"1"}}',
    "raw_trade": b'{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":4000004,"p":"91000.1","q":"0.001","T":1767225600123,"m":true,"M":true}',
    "raw_book_ticker": b'{"u":70003,"s":"BTCUSDT","b":"91000.1","B":"3.1","a":"91000.2","A":"0.5"}',
    "raw_depth": b'{"e":"depthUpdate","E":1767225600300,"s":"BTCUSDT","U":104,"u":105,"b":[["91000.1","1"]],"a":[]}',
    "raw_partial_depth": b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}',
    "raw_kline": b'{"e":"kline","E":1767225601000,"s":"BTCUSDT","k":{"t":1,"i":"1m"}}',
    "shutdown": b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1767225602000}}',
    "raw_shutdown": b'{"e":"serverShutdown","E":1767225602000}',
    "ack": b'{"result":null,"id":1}',
    "pong": b'{"result":true,"id":2}',
    "list": b'{"result":["btcusdt@trade"],"id":3}',
    "error": b'{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}',
    "flat_error": b'{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}',
}

ADVANCED: Final[dict[str, bytes]] = {
    "l2_snapshot": b'{"channel":"l2_data","client_id":"","timestamp":"2026-01-01T00:00:00.100000009Z","sequence_num":0,"events":[{"type":"snapshot",'
    b'"product_id":"BTC-USD","updates":[{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"91000.01","new_quantity":"0.5"},'
    b'{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"91000","new_quantity":"1.25"},'
    b'{"side":"offer","event_time":"1970-01-01T00:00:00Z","price_level":"91000.02","new_quantity":"2"}]}]}',
    "l2_update": b'{"channel":"l2_data","client_id":"","timestamp":"2026-01-01T00:00:00.2Z","sequence_num":1,"events":[{"type":"update",'
    b'"product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-01-01T00:00:00.150001Z","price_level":"91000.01","new_quantity":"0"},'
    b'{"side":"offer","event_time":"2026-01-01T00:00:00.150002Z","price_level":"91000.03","new_quantity":"0.75"}]}]}',
    "l2_empty": b'{"channel":"l2_data","timestamp":"2026-01-01T00:00:00.3Z","sequence_num":2,"events":[{"type":"update","product_id":"BTC-USD","updates":[]}]}',
    "l2_odd": b'{"channel":"l2_data","timestamp":"2026-01-01T00:00:00.3Z","sequence_num":3,"events":[{"type":"update","product_id":"BTC-USD","updates":['
    b'{"side":"ask","event_time":"0001-01-01T00:00:00Z","price_level":"91000.04","new_quantity":"0.-10000"},'
    b'{"side":"ask","event_time":"0001-01-01T00:00:00Z","price_level":"91000.05","new_quantity":"1"}]}]}',
    "trades_snapshot": b'{"channel":"market_trades","client_id":"","timestamp":"2026-01-01T00:00:01Z","sequence_num":4,"events":[{"type":"snapshot","trades":['
    b'{"product_id":"BTC-USD","trade_id":"502","price":"91000.01","size":"0.1","time":"2026-01-01T00:00:00.9Z","side":"SELL"},'
    b'{"product_id":"BTC-USD","trade_id":"501","price":"91000.02","size":"0.2","time":"2026-01-01T00:00:00.8Z","side":"BUY"}]}]}',
    "trades_update": b'{"channel":"market_trades","client_id":"","timestamp":"2026-01-01T00:00:02Z","sequence_num":5,"events":[{"type":"update","trades":['
    b'{"product_id":"BTC-USD","trade_id":"504","price":"91000.03","size":"0.3","time":"2026-01-01T00:00:01.9Z","side":"SELL"},'
    b'{"product_id":"BTC-USD","trade_id":"503","price":"91000.02","size":"0.4","time":"2026-01-01T00:00:01.8Z","side":"BUY"}]}]}',
    "ticker": b'{"channel":"ticker","client_id":"","timestamp":"2026-01-01T00:00:03Z","sequence_num":6,"events":[{"type":"snapshot","tickers":[{"type":"ticker",'
    b'"product_id":"BTC-USD","price":"91000.02","volume_24_h":"1234.5","low_24_h":"90000","high_24_h":"92000.10","low_52_w":"1","high_52_w":"2",'
    b'"price_percent_chg_24_h":"-0.5","best_bid":"91000.01","best_bid_quantity":"0.5","best_ask":"91000.02","best_ask_quantity":"2"}]}]}',
    "ticker_batch": b'{"channel":"ticker_batch","timestamp":"2026-01-01T00:00:03Z","sequence_num":7,"events":[{"type":"snapshot","tickers":[{"type":"ticker",'
    b'"product_id":"ETH-USD","price":"","volume_24_h":"0"}]}]}',
    "heartbeats": b'{"channel":"heartbeats","client_id":"","timestamp":"2026-01-01T00:00:04Z","sequence_num":8,"events":[{"current_time":'
    b'"2026-01-01 00:00:04.0001 +0000 UTC m=+1.5","heartbeat_counter":3}]}',
    "subscriptions": b'{"channel":"subscriptions","client_id":"","timestamp":"2026-01-01T00:00:05Z","sequence_num":9,"events":[{"subscriptions":'
    b'{"level2":["BTC-USD"],"heartbeats":["heartbeats"]}}]}',
    "status": b'{"channel":"status","timestamp":"2026-01-01T00:00:06Z","sequence_num":10,"events":[{"type":"snapshot","products":[{"product_type":"SPOT",'
    b'"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","status":"online","status_message":""},{"id":"ETH-USD","status":"offline",'
    b'"status_message":"maintenance"},{"id":"ZZZ-USD","status":"online"}]}]}',
    "candles": b'{"channel":"candles","timestamp":"2026-01-01T00:00:07Z","sequence_num":11,"events":[{"type":"snapshot","candles":[{"start":"1767225600"}]}]}',
    "user": b'{"channel":"user","timestamp":"2026-01-01T00:00:07Z","sequence_num":12,"events":[]}',
    "futures_balance_summary": b'{"channel":"futures_balance_summary","timestamp":"2026-01-01T00:00:07Z","sequence_num":13,"events":[]}',
    "error": b'{"type":"error","message":"authentication failure"}',
}

EXCHANGE: Final[dict[str, bytes]] = {
    "last_match": b'{"type":"last_match","trade_id":600,"maker_order_id":"m","taker_order_id":"t","side":"sell","size":"0.00031874","price":"91000.02",'
    b'"product_id":"BTC-USD","sequence":9000,"time":"2026-01-01T00:00:00.112041Z"}',
    "match": b'{"type":"match","trade_id":601,"maker_order_id":"m","taker_order_id":"t","side":"buy","size":"1.50","price":"91000.01",'
    b'"product_id":"BTC-USD","sequence":9002,"time":"2026-01-01T00:00:01.5Z"}',
    "ticker": b'{"type":"ticker","sequence":9002,"product_id":"BTC-USD","price":"91000.01","open_24h":"91500","volume_24h":"1234.50","low_24h":"90000",'
    b'"high_24h":"92000.10","volume_30d":"40000","best_bid":"91000.01","best_bid_size":"0.5","best_ask":"91000.02","best_ask_size":"2","side":"sell",'
    b'"time":"2026-01-01T00:00:01.500000Z","trade_id":601,"last_size":"1.50"}',
    "heartbeat": b'{"type":"heartbeat","sequence":9003,"last_trade_id":601,"product_id":"BTC-USD","time":"2026-01-01T00:00:02.000001Z"}',
    "snapshot": b'{"type":"snapshot","product_id":"BTC-USD","bids":[["91000.01","0.5"],["91000.00","1"]],"asks":[["91000.02","2"],["91000.10","1"]],'
    b'"time":"2026-01-01T00:00:00.5Z"}',
    "snapshot_odd": b'{"type":"snapshot","product_id":"ETH-USD","asks":[["3000.10","1"]],"bids":[["3000.00","1"],["2999.99","0.-10000"]]}',
    "l2update": b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","91000.010","0.0"],["sell","91000.02","2.5"]],"time":"2026-01-01T00:00:00.6Z"}',
    "l2update_no_time": b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","90999.00","1"]],"time":"0001-01-01T00:00:00.000000Z"}',
    "subscriptions": b'{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]},{"name":"level2_50","product_ids":["BTC-USD"]}]}',
    "status": b'{"type":"status","products":[{"id":"BTC-USD","status":"online","status_message":null},{"id":"ETH-USD","status":"delisted"}],"currencies":[]}',
    "error": b'{"type":"error","message":"Failed to subscribe","reason":"ZZZ-USD is not a valid product"}',
    "open": b'{"type":"open","price":"91000.05","order_id":"o","remaining_size":"0.2","side":"sell","product_id":"BTC-USD","time":"2026-01-01T00:00:03Z","sequence":9004}',
    "done": b'{"type":"done","product_id":"BTC-USD","order_id":"o","reason":"canceled","sequence":9005}',
}

KRAKEN: Final[dict[str, bytes]] = {
    "status": b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":18446744073709551616}]}',
    "maintenance": b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"maintenance","api_version":"v2","connection_id":1}]}',
    "post_only": b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"post_only","api_version":"v2","connection_id":1}]}',
    "heartbeat": b'{"channel":"heartbeat"}',
    "trade_snapshot": b'{"channel":"trade","type":"snapshot","data":[{"symbol":"BTC/USD","side":"sell","price":91000.0,"qty":0.01000000,"ord_type":"market",'
    b'"trade_id":700,"timestamp":"2026-01-01T00:00:00.000001Z"},{"symbol":"BTC/USD","side":"buy","price":91000.1,"qty":0.02000000,"ord_type":"limit",'
    b'"trade_id":701,"timestamp":"2026-01-01T00:00:00.000002Z"}]}',
    "trade": b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":91000.10,"qty":0.01044926,"ord_type":"limit","trade_id":702,'
    b'"timestamp":"2026-01-01T00:00:01.798009Z"},{"symbol":"BTC/USD","side":"sell","price":91000.0,"qty":0.00000100,"ord_type":"limit","trade_id":703,'
    b'"timestamp":"2026-01-01T00:00:01.798009Z"}]}',
    "ticker": b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":91000.0,"bid_qty":12.31628629,"ask":91000.1,"ask_qty":0.31232000,'
    b'"last":91000.1,"volume":4182.59447976,"vwap":91100.4,"low":90000.3,"high":92000.0,"change":-213.8,"change_pct":-0.23,'
    b'"timestamp":"2026-01-01T00:00:02.000003Z"}]}',
    "ticker_plain": b'{"channel":"ticker","type":"snapshot","data":[{"symbol":"DOGE/USD","bid":0.12345,"bid_qty":740.0,"ask":0.12350,"ask_qty":0,"last":0.12345,'
    b'"volume":1.0,"vwap":0.1,"low":0.1,"high":0.2,"change":0.0,"change_pct":0.0}]}',
    "ticker_empty": b'{"channel":"ticker","type":"update","data":[{"symbol":"DOGE/USD","bid":0,"bid_qty":0,"ask":0,"ask_qty":0,'
    b'"timestamp":"1970-01-01T00:00:00.000000Z"}]}',
    "book_snapshot": b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":91000.0,"qty":0.50000000},{"price":90999.9,'
    b'"qty":1.00000000}],"asks":[{"price":91000.1,"qty":2.00000000},{"price":91000.5,"qty":0.00000100}],"checksum":0,"timestamp":"2026-01-01T00:00:00Z"}]}',
    "book": b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":91000.0,"qty":0.00000000},{"price":90999.8,"qty":3.00000000}],'
    b'"asks":[],"checksum":0,"timestamp":"2026-01-01T00:00:00.5Z"}]}',
    "ohlc": b'{"channel":"ohlc","type":"update","timestamp":"2026-01-01T00:00:00.1Z","data":[{"symbol":"BTC/USD","open":1.0,"interval":5}]}',
    "instrument": b'{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"BTC/USD","status":"online","qty_increment":1e-08}]}}',
    "level3": b'{"channel":"level3","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1}]}',
    "ack": b'{"method":"subscribe","req_id":11,"result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD","warnings":["x is deprecated"]},'
    b'"success":true,"time_in":"2026-01-01T00:00:00.000001Z","time_out":"2026-01-01T00:00:00.000002Z"}',
    "unsubscribed": b'{"method":"unsubscribe","result":{"channel":"book","depth":10,"symbol":"BTC/USD"},"success":true,"req_id":12}',
    "refused": b'{"error":"Currency pair not supported XXX/YYY","method":"subscribe","req_id":13,"success":false,"symbol":"XXX/YYY"}',
    "refused_depth": b'{"error":"Subscription depth not supported","method":"subscribe","success":false}',
    "already": b'{"error":"Already subscribed","method":"subscribe","req_id":14,"success":false,"symbol":"BTC/USD"}',
    "pong": b'{"method":"pong","req_id":101,"time_in":"2026-01-01T00:00:00.000001Z","time_out":"2026-01-01T00:00:00.000002Z"}',
    "complaint": b'{"Error":"Exceeded msg rate"}',
    "bare_error": b'{"error":"Malformed request"}',
}

BY_ENDPOINT: Final[dict[tuple[str, str], dict[str, bytes]]] = {
    ("binance", "stream"): BINANCE,
    ("coinbase", "advanced"): ADVANCED,
    ("coinbase", "exchange"): EXCHANGE,
    ("kraken", "v2"): KRAKEN,
}

SYMBOLS: Final[dict[str, dict[str, str]]] = {
    "binance": {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"},
    "coinbase": {"BTC-USD": "BTC-USD", "ETH-USD": "ETH-USD"},
    "kraken": {"BTC/USD": "BTC-USD", "DOGE/USD": "DOGE-USD"},
}
"""Their symbol → our instrument, of what the frames hold."""

INSTRUMENTS: Final[dict[str, bytes]] = {
    "binance": b'{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","isSpotTradingAllowed":true,'
    b'"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","stepSize":"0.00001000"}]},'
    b'{"symbol":"ETHUSDT","status":"HALT","baseAsset":"ETH","quoteAsset":"USDT","filters":[]},'
    b'{"symbol":"XUSDT","status":"TRADING","baseAsset":"X","quoteAsset":"USDT","isSpotTradingAllowed":false,"filters":[]}]}',
    "coinbase": b'[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01","status":"online",'
    b'"trading_disabled":false},{"id":"ETH-USD","base_currency":"ETH","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01",'
    b'"status":"online","trading_disabled":true}]',
    "kraken": b'{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,'
    b'"tick_size":"0.1","status":"online"},"XDGUSD":{"wsname":"XDG/USD","lot_decimals":8,"tick_size":"0.0000001","status":"cancel_only"},'
    b'"XXBTZUSD.d":{"wsname":"XBT/USD"},"OLD":{"altname":"OLD"}}}',
}

COINBASE_MARKET: Final = (
    b'{"products":[{"product_id":"BTC-USD","base_currency_id":"BTC","quote_currency_id":"USD","base_increment":"0.00000001","quote_increment":"0.01",'
    b'"price_increment":"0.01","status":"online","product_type":"SPOT","trading_disabled":false,"is_disabled":false},'
    b'{"product_id":"BIP-20DEC30-CDE","base_currency_id":"","quote_currency_id":"USD","product_type":"FUTURE","price_increment":"5"}],"num_products":2}'
)
BINANCE_DEPTH: Final = b'{"lastUpdateId":102,"bids":[["91000.10000000","3.00000000"],["90999.00000000","1.00000000"]],"asks":[["91000.20000000","0.50000000"]]}'
