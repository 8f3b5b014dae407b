-- Capture triggers.  Creating one needs EXECUTE, firing it does not.

CREATE FUNCTION pgtrickle.cdc_capture_statement() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_cdc_capture_statement';
CREATE FUNCTION pgtrickle.cdc_capture_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_cdc_capture_row';
CREATE FUNCTION pgtrickle.cdc_keep_row() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_cdc_keep_row';
CREATE FUNCTION pgtrickle.cdc_capture_touch() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_cdc_capture_touch';
CREATE FUNCTION pgtrickle.cdc_capture_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_cdc_capture_truncate';
REVOKE ALL ON FUNCTION pgtrickle.cdc_capture_statement(),
    pgtrickle.cdc_capture_row(), pgtrickle.cdc_keep_row(), pgtrickle.cdc_capture_touch(),
    pgtrickle.cdc_capture_truncate() FROM PUBLIC;
