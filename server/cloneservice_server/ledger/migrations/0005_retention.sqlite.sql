-- Parked requests are forgotten with the finished ones; what is unfinished is counted in each sweep.
DROP INDEX request_finished;
CREATE INDEX request_prunable ON request (update_time_us) WHERE state IN ('succeeded', 'failed', 'parked');
CREATE INDEX request_parked ON request (update_time_us) WHERE state = 'parked';
