"""Pure values, states, ids and errors: no grpc, no stripe, no SQL, no clock."""
