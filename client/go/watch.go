package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "cloneservice.example/client/gen/cloneservice/v1"
)

const (
	// connectionsWithoutNews is how often a watch connects in a row without learning anything before it gives up.
	connectionsWithoutNews = 6
	firstPause             = 200 * time.Millisecond
	longestPause           = 5 * time.Second
)

// WatchBatch yields the events of a batch after the given sequence, each once, until the batch is final. A stream that
// breaks is taken up where it broke; store the sequence of the last event and a crash of this process loses nothing
// either. The pair's error is the last thing it yields. Ending ctx or the loop ends the watch, never the batch.
func WatchBatch(
	ctx context.Context, service pb.CloneServiceClient, batchID string, after int64,
) iter.Seq2[*pb.WatchCloneBatchResponse, error] {
	return func(yield func(*pb.WatchCloneBatchResponse, error) bool) {
		pause, barren := firstPause, 0
		for {
			before := after
			done, err := watchOnce(ctx, service, batchID, &after, yield)
			if done {
				return
			}
			barren++
			if after > before {
				pause, barren = firstPause, 0
			}
			if !broken(err) || barren >= connectionsWithoutNews {
				yield(nil, err)
				return
			}
			select {
			case <-ctx.Done():
				yield(nil, status.FromContextError(ctx.Err()).Err())
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// watchOnce follows one stream; done says that there is nothing more to yield.
func watchOnce(
	ctx context.Context, service pb.CloneServiceClient, batchID string, after *int64,
	yield func(*pb.WatchCloneBatchResponse, error) bool,
) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // lets go of the stream when the caller stops early
	stream, err := service.WatchCloneBatch(ctx, &pb.WatchCloneBatchRequest{BatchId: batchID, AfterSequence: *after})
	if err != nil {
		return false, err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return false, err
		}
		final := isFinal(event.GetBatch())
		if event.GetSequence() <= *after && !final {
			continue // seen before the stream broke, or a heartbeat
		}
		*after = max(*after, event.GetSequence())
		if !yield(event, nil) || final {
			return true, nil
		}
	}
}

func isFinal(batch *pb.CloneBatch) bool {
	switch batch.GetState() {
	case pb.CloneBatch_STATE_SUCCEEDED, pb.CloneBatch_STATE_PARTIALLY_FAILED, pb.CloneBatch_STATE_CANCELED:
		return true
	default:
		return false
	}
}

// broken says whether a stream ended for a reason that another one may not meet.
func broken(err error) bool {
	if errors.Is(err, io.EOF) { // in good order but too early: a server that stops
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Aborted, codes.ResourceExhausted, codes.Canceled:
		return true
	default:
		return false
	}
}
