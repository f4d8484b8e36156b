CREATE TABLE r AS SELECT
    i AS n,
    CASE WHEN i % 11 = 0 THEN NULL ELSE 'Problem ' || i || ': é∑' || chr(10) || '"\' END AS problem,
    CASE WHEN i % 3 = 0 THEN NULL ELSE list_transform(range(i % 4), lambda j: CASE WHEN j = 2 THEN NULL ELSE 'think ' || j || ' of ' || i END) END AS generations,
    CASE WHEN i % 7 = 0 THEN NULL ELSE list_transform(range(i % 3), lambda j: CASE WHEN (i + j) % 5 = 0 THEN NULL ELSE (i + j) % 2 = 0 END) END AS flags,
    CASE WHEN i % 6 = 0 THEN NULL ELSE list_transform(range(i % 4), lambda j: {
        'content': CASE WHEN i % 5 = 0 THEN NULL ELSE 'message ' || j || ' of ' || i END, 'role': ['user', 'assistant'][j % 2 + 1]}) END AS messages,
    CASE WHEN i % 4 = 0 THEN NULL ELSE {'tags': ['a' || i, NULL], 'deep': [[i, NULL], [], NULL]} END AS nested,
    ['math', 'code', 'logic'][i % 3 + 1] AS source,
    map {'k' || i: i} AS pairs,
    i / 8 AS eighths,
    (i % 256)::utinyint AS byte,
    DATE '2024-01-01' + i::int AS day
FROM range(2500) t(i);
COPY (FROM r WHERE n < 100) TO 'plain.parquet' (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 2048);
COPY r TO 'snappy.parquet' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 2048);
COPY r TO 'gzip.parquet' (FORMAT parquet, COMPRESSION gzip, ROW_GROUP_SIZE 2048);
COPY r TO 'zstd.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, PARQUET_VERSION v2);
COPY (SELECT 1 AS n) TO 'brotli.parquet' (FORMAT parquet, COMPRESSION brotli);
COPY (SELECT 'text'::blob AS text, '\xFF\xFE'::blob AS bytes, UUID '6ccd780c-baba-1026-9564-5b8c656024db' AS id, TIMESTAMP '2024-02-03 04:05:06.789' AS time,
    'NaN'::double AS nan, 4000000000::uinteger AS u32, 18000000000000000000::ubigint AS u64, (-5)::tinyint AS i8) TO 'kinds.parquet' (FORMAT parquet, COMPRESSION uncompressed);
COPY (SELECT [1::uinteger] AS n) TO 'unsigned-list.parquet' (FORMAT parquet);
COPY (SELECT 1 AS n WHERE false) TO 'empty.parquet' (FORMAT parquet);
