-- What people look a change up by: Stripe's Request-Id of its answer, and the id of what it made.
ALTER TABLE effect ADD COLUMN stripe_request_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX effect_answered ON effect (stripe_request_id) WHERE stripe_request_id <> '';
CREATE INDEX effect_made ON effect (stripe_id) WHERE stripe_id <> '';
CREATE INDEX basket_by_time ON basket (create_time_us DESC, basket_id DESC);
