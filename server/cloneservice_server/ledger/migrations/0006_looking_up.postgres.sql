-- What people look a change up by: Stripe's Request-Id of its answer, and the id of what it made. What is done to a
-- PaymentIntent is left out of the second: charges are found by that, and the way of each charge stays short.
ALTER TABLE effect ADD COLUMN stripe_request_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX effect_answered ON effect (stripe_request_id) WHERE stripe_request_id <> '';
CREATE INDEX effect_made ON effect (stripe_id)
    WHERE stripe_id <> '' AND kind NOT IN ('intent', 'confirm', 'reconfirm', 'capture', 'cancel');
CREATE INDEX basket_by_time ON basket (create_time_us DESC, basket_id DESC);
