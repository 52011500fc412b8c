/** What a failed call of CloneService says, taken out of its status details. `Charge` is that of the chosen library. */
export interface Failure<Charge> {
  /** A value of cloneservice.v1.ErrorReason without its prefix, such as CARD_DECLINED. Decide by it, never by the text. */
  reason: string;
  /** The particulars of the reason. */
  metadata: { [key: string]: string };
  /** The charge as recorded, of CARD_DECLINED and AUTHENTICATION_REQUIRED. */
  charge?: Charge;
  /** Whether the same payment method may work another time. */
  mayRetryLater: boolean;
  /** What INVALID_REQUEST found wrong: field to what is wrong. */
  fields: { [field: string]: string };
}

/** The domain of every ErrorInfo of CloneService; a status without it comes from a proxy or from gRPC itself. */
export const DOMAIN = 'cloneservice';

/** A watch connects this often in a row without learning anything before it gives up. */
export const CONNECTIONS_WITHOUT_NEWS = 6;

export const pauseMs = (barren: number): number => Math.min(200 * 2 ** barren, 5000);
