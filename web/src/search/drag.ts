/** The kind of data that a dragged channel carries: its name. */
export const CHANNEL_TYPE = "application/x-ved-channel";
