package client

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "cloneservice.example/client/gen/cloneservice/v1"
)

// Domain is that of every ErrorInfo of CloneService; a status without it comes from a proxy or from gRPC itself.
const Domain = "cloneservice"

// Failure is what a failed call says, taken out of its status details.
type Failure struct {
	Code codes.Code
	// Reason is a value of cloneservice.v1.ErrorReason without its prefix, such as CARD_DECLINED. Decide by it, never
	// by the message.
	Reason string
	// Metadata holds the particulars of the reason.
	Metadata map[string]string
	// Charge is the charge as recorded, of CARD_DECLINED and AUTHENTICATION_REQUIRED; else nil.
	Charge *pb.Charge
	// MayRetryLater says whether the same payment method may work another time.
	MayRetryLater bool
	// Fields names what INVALID_REQUEST found wrong, with what is wrong.
	Fields map[string]string
}

// Explain returns what err says about a failed call, and whether CloneService itself said it.
func Explain(err error) (Failure, bool) {
	answered, ok := status.FromError(err)
	if !ok {
		return Failure{}, false
	}
	failure := Failure{Code: answered.Code()}
	for _, detail := range answered.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == Domain {
				failure.Reason, failure.Metadata = detail.GetReason(), detail.GetMetadata()
			}
		case *pb.ChargeFailure:
			failure.Charge, failure.MayRetryLater = detail.GetCharge(), detail.GetMayRetryLater()
		case *errdetails.BadRequest:
			failure.Fields = make(map[string]string, len(detail.GetFieldViolations()))
			for _, violation := range detail.GetFieldViolations() {
				failure.Fields[violation.GetField()] = violation.GetDescription()
			}
		}
	}
	return failure, failure.Reason != ""
}
